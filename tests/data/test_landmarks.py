"""Eight slots for every garment, and boxes and points that lie in their pictures."""

import numpy as np
import pandas as pd
import pytest

from swatchbook.data.landmarks import (
    BOX,
    SLOTS,
    TYPES,
    box_columns,
    point_columns,
    points_of,
    refuse_outside,
    suggested_types,
)
from swatchbook.data.strict_csv import DataError

# The order in which the benchmark's README lists the points of each type.
LISTED = {
    "upper": ["left collar", "right collar", "left sleeve", "right sleeve", "left hem", "right hem"],
    "lower": ["left waistline", "right waistline", "left hem", "right hem"],
    "full": [
        "left collar", "right collar", "left sleeve", "right sleeve",
        "left waistline", "right waistline", "left hem", "right hem",
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_each_types_points_get_their_own_slots_and_the_others_are_absent(kind):
    names = [name.replace(" ", "_") for name in LISTED[kind]]
    points = np.zeros((1, 8, 2), int)
    points[0, : len(names)] = [[10 + i, 20 + i] for i in range(len(names))]
    table = point_columns(points, np.zeros((1, 8), int), np.array([kind], dtype=object))
    for i, name in enumerate(names):
        assert table.loc[0, [f"{name}_x", f"{name}_y", f"{name}_visibility"]].tolist() == [
            9.5 + i,
            19.5 + i,
            0,
        ]
    for name in set(SLOTS) - set(names):
        assert table.loc[0, [f"{name}_x", f"{name}_y"]].isna().all()
        assert table.loc[0, f"{name}_visibility"] == -1


def test_a_point_at_zero_is_absent_and_a_truncated_one_has_no_place():
    points = np.zeros((1, 8, 2), int)
    points[0, :4] = [[0, 0], [5, 6], [7, 8], [3, 0]]
    codes = np.array([[0, 1, 2, 0, 2, 0, 0, 0]])
    table = point_columns(points, codes, np.array(["lower"], dtype=object)).assign(image_id="a")
    places, visibility = points_of(table)
    assert visibility[0].tolist() == [-1, -1, -1, -1, -1, 1, 2, 0]
    assert np.isnan(places[0, [0, 1, 2, 3, 4, 6]]).all()
    assert places[0, 5].tolist() == [4.5, 5.5]
    assert places[0, 7].tolist() == [2.5, 0]  # half a pixel outside would be no place in the picture


def test_the_last_point_suggests_the_type():
    points = np.zeros((9, 8, 2), int)
    for row in range(1, 9):
        points[row, row - 1] = [4, 0]
    assert suggested_types(points).tolist() == [None, *["lower"] * 4, *["upper"] * 2, *["full"] * 2]


def test_a_box_that_holds_its_last_pixel_becomes_edges():
    assert box_columns(np.array([[1, 1, 32, 48], [0, 3, 3, 3]])).to_numpy().tolist() == [
        [0, 0, 32, 48],
        [0, 2, 3, 3],
    ]


@pytest.mark.parametrize(
    ("corners", "point", "message"),
    [
        ((1, 1, 33, 48), (5, 5), r"'a': box \(0, 0, 33, 48\) \(1 such\); allowed: inside the picture, which is 32 × 48"),
        ((9, 1, 8, 48), (5, 5), r"'a': box \(8, 0, 8, 48\)"),
        ((1, 1, 32, 48), (34, 5), r"'a': left_collar \(33\.5, 4\.5\) \(1 such\)"),
        ((1, 1, 32, 48), (5, 49), r"'a': left_collar \(4\.5, 48\.5\)"),
    ],
)  # fmt: skip
def test_boxes_and_points_outside_their_picture_are_refused(corners, point, message):
    points = np.zeros((2, 8, 2), int)
    points[0, 0] = point
    table = pd.concat(
        [
            pd.DataFrame({"image_id": ["a", "b"], "width": 32, "height": 48}),
            box_columns(np.array([corners, (1, 1, 32, 48)])),
            point_columns(points, np.zeros((2, 8), int), np.array(["full", "lower"], dtype=object)),
        ],
        axis=1,
    )
    with pytest.raises(DataError, match=message):
        refuse_outside(table)
    refuse_outside(table[1:])
    assert list(BOX) == ["box_left", "box_top", "box_right", "box_bottom"]
