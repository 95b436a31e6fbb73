# A timeline in R: install.packages(c("arrow", "dplyr"))
#
#     Rscript examples/read_in_r.R [TIMELINE.parquet]
#
# Without a timeline it takes the demo's, which `python examples/demo_timeline.py` makes.

library(arrow)
library(dplyr, warn.conflicts = FALSE)

arguments <- commandArgs(trailingOnly = TRUE)
path <- if (length(arguments) > 0) arguments[[1]] else "demo/portrait.parquet"

timeline <- read_parquet(
  path,
  col_select = c("source", "frame", "time_s", "status", "track", "emotion", "happy")
)

# A frame lasts until the next one, with a face or without; the last as the median.
frames <- timeline |>
  distinct(source, frame, time_s) |>
  arrange(source, frame) |>
  group_by(source) |>
  mutate(
    duration_s = lead(time_s) - time_s,
    duration_s = coalesce(duration_s, median(duration_s, na.rm = TRUE))
  ) |>
  ungroup() |>
  select(source, frame, duration_s)

timeline |>
  filter(status == "face") |>
  inner_join(frames, by = c("source", "frame")) |>
  group_by(source, track) |>
  summarise(
    seconds = sum(duration_s),
    happy = weighted.mean(happy, duration_s),
    share_happy = sum(duration_s[emotion == "happy"]) / sum(duration_s),
    .groups = "drop"
  ) |>
  print()
