"""Difficulty of datasets and questions: entity rarity, label shares, how they go
together, reward coefficients.
"""
