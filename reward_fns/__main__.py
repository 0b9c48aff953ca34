"""What there is to run and where to go on: `python -m reward_fns`."""

import argparse
from collections.abc import Sequence

_TEXT = """\
The difficulty-guided reward: a response's claims, tags and confidence against an expert's verdict.

commands:
  python -m reward_fns.expert check --expert '{kind: openai, model: gpt-4o}'
                        what works at an endpoint, and the line that names it as an expert
  python -m reward_fns.expert {inspect,export,agreement}
                        a cache of verdicts; one call an answer against one a claim

In a training it is named, not run. verl:
  reward.custom_reward_function.path=pkg://reward_fns.compute_score
  reward.custom_reward_function.name=compute_score
TRL, ms-swift, OpenRLHF, EasyR1: reward_fns/adapters/README.md

next: python docs/tutorial.py (parse, score, calibrate; a minute, no training),
      then reward_fns/README.md
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what there is."""
    parser = argparse.ArgumentParser(
        prog="python -m reward_fns",
        description=_TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    parser.print_help()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
