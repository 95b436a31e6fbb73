"""All timelines of a folder in one query, with DuckDB (`pip install duckdb`).

    python examples/duckdb_folder.py [FOLDER]

Without a folder it takes the demo's timeline. Of `emoscan video day1/ day2/ --out tables/`, the
folder is tables/timelines.
"""

import sys
from pathlib import Path

import duckdb

# A frame lasts until the next one of its video, with a face or without; the last as the median.
QUERY = """
    WITH records AS (
        SELECT * FROM read_parquet($pattern, filename = true) WHERE time_s IS NOT NULL
    ),
    frames AS (
        SELECT filename, source, frame, min(time_s) AS time_s
        FROM records GROUP BY filename, source, frame
    ),
    steps AS (
        SELECT *, lead(time_s) OVER by_frame - time_s AS step_s FROM frames
        WINDOW by_frame AS (PARTITION BY filename, source ORDER BY frame)
    ),
    durations AS (
        SELECT filename, source, frame,
            coalesce(step_s, median(step_s) OVER (PARTITION BY filename, source), 0) AS duration_s
        FROM steps
    )
    SELECT source, emotion,
        count(DISTINCT track) AS tracks,
        round(sum(duration_s), 2) AS seconds,
        round(sum(duration_s) / sum(sum(duration_s)) OVER (PARTITION BY filename, source), 3)
            AS share
    FROM records JOIN durations USING (filename, source, frame)
    WHERE status = 'face'
    GROUP BY filename, source, emotion
    ORDER BY source, seconds DESC
"""


def main(folder: Path) -> None:
    """Print, for each video, how long each expression was the likeliest."""
    pattern = str(folder / "**" / "*.parquet")
    print(duckdb.execute(QUERY, {"pattern": pattern}).df().to_string(index=False))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        from demo_timeline import demo_timeline

        main(demo_timeline().parent)
