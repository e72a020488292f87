"""`python -m benchmarks.pictures DEMO`: what `make demo` has left in DEMO, small enough for README, in docs/demo/.

README shows what comes out before anybody has run anything; made of generated scenes, the pictures are free.
"""

import sys
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent.parent / "docs" / "demo"
PICTURES = {"heat.jpg": "run/localize/*.png", "accuracy.png": "run/evaluation/*/plot.png"}
COLORS, QUALITY, MOST_BYTES, WIDTH = 256, 85, 200_000, 1100


def main(demo: Path) -> None:
    """Raises FileNotFoundError where the demo has not ended, ValueError for a picture that stays too large."""
    FOLDER.mkdir(exist_ok=True)
    for name, pattern in PICTURES.items():
        found, target = sorted(demo.glob(pattern)), FOLDER / name
        if not found:
            raise FileNotFoundError(f"{demo / pattern}: run make demo to its end")
        picture = Image.open(found[-1]).convert("RGB")
        picture.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
        if target.suffix == ".png":
            picture.quantize(COLORS, kmeans=2).save(target, optimize=True)
        else:
            picture.save(target, quality=QUALITY, optimize=True)
        if (size := target.stat().st_size) > MOST_BYTES:
            raise ValueError(f"{target} takes {size:,} bytes, more than {MOST_BYTES:,}")
        print(f"{target}: {size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
