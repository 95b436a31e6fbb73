"""What holds of a video that is decoded here holds of one that another process decodes."""

import pytest

from emoscan.media.find import MediaFile
from tests.media import test_video
from tests.media.test_video import (  # noqa: F401 - collected here as well
    noisy,
    test_any_start_gives_the_frames_from_there,
    test_avi,
    test_colours,
    test_cut_off,
    test_damaged_anywhere_never_fails,
    test_data_stream_is_healthy,
    test_edit_list_leaves_out_the_beginning,
    test_frames_can_be_read_ahead_and_given_up,
    test_info_is_json,
    test_longer_sound_is_healthy,
    test_more_that_is_no_video,
    test_names_with_colons_and_beyond_ascii,
    test_no_declared_duration_is_healthy,
    test_odd_sizes_and_scaling,
    test_pixel_formats,
    test_range_and_sampling,
    test_rotation,
    test_sampling_of_uneven_times,
    test_size_that_changes_on_the_way,
    test_start_beyond_the_end_of_a_cut_file,
    test_the_selection_does_not_depend_on_damage,
    test_times_are_made_where_there_are_none,
    test_variable_rate,
    test_video_that_starts_after_its_sound,
    test_what_is_no_video,
    test_zeros_at_the_end,
    test_zeros_in_the_middle,
)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, decoder) -> None:
    monkeypatch.setattr(test_video, "opened", lambda path: decoder.open(MediaFile(path, path.name)))
