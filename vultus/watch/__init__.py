"""People in moving pictures: followed from frame to frame, and decided on once."""

from vultus.watch.appearances import Appearances, Person, Stretch, gather
from vultus.watch.follow import Followed, Follower, FollowSettings, Sample, Sight
from vultus.watch.identity import Held, TrackAnswer, held, name_tracks, template_of
from vultus.watch.video import watch_video

__all__ = [
    "Appearances",
    "FollowSettings",
    "Followed",
    "Follower",
    "Held",
    "Person",
    "Sample",
    "Sight",
    "Stretch",
    "TrackAnswer",
    "gather",
    "held",
    "name_tracks",
    "template_of",
    "watch_video",
]
