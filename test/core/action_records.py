"""Actions for tests: full records with a few fields changed."""

from hand_perception.actions import ActionEstimate, Ranking

STAMP_NS = 1_700_000_000_123_456_789


def make_scene_action(**changes):
    """What HTT says of a whole scene."""
    fields = {
        'stamp_ns': STAMP_NS,
        'frame_id': 'camera',
        'window_start_ns': STAMP_NS - 2_000_000_000,
        'tokens_seen': 31,
        'tokens_full': 128,
        'is_final': False,
        'is_right': None,
        'label': 'pour_milk',
        'score': 0.625,
        'ranking': Ranking(labels=('pour_milk', 'open_milk', 'drink'), scores=(0.625, 0.25, 0.0)),
        'object_label': 'milk',
        'object_score': 0.875,
        'object_ranking': Ranking(labels=('milk', 'cup'), scores=(0.875, 0.125)),
        'unknown_reason': '',
        'onset_ns': STAMP_NS - 500_000_000,
        'label_map': 'fpha',
        'backend': 'htt',
    }
    return ActionEstimate(**{**fields, **changes})


def make_hand_action(*, is_right=True, **changes):
    """What the primitives say of one hand."""
    fields = {
        'is_right': is_right,
        'tokens_seen': 1,
        'tokens_full': 1,
        'is_final': True,
        'label': 'pinch',
        'ranking': Ranking(labels=('pinch', 'open'), scores=(0.625, 0.25)),
        'object_label': '',
        'object_score': 0.0,
        'object_ranking': Ranking(),
        'label_map': 'primitives',
        'backend': 'primitives',
    }
    return make_scene_action(**{**fields, **changes})


def unknown(action_maker, reason, **changes):
    """The same without an answer."""
    return action_maker(
        label='', score=0.0, object_label='', object_score=0.0, unknown_reason=reason, **changes
    )
