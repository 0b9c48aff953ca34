"""python -m recipe.difficulty_calib.scale > recipe/difficulty_calib/SCALE.md"""

from recipe.difficulty_calib.scale import page

if __name__ == "__main__":
    print(page.text(), end="")
