import numpy as np
import pytest

from hand_perception.rendering import rasterizer
from hand_perception.rendering.normals import vertex_normals
from hand_perception.rendering.rasterizer import rasterize

WIDTH, HEIGHT = 40, 30
WHOLE = {'width': WIDTH, 'height': HEIGHT}


def picture_of(drawn, values, *, width=WIDTH, height=HEIGHT, empty=-1.0):
    picture = np.full((height, width), empty)
    picture[drawn.rows, drawn.columns] = values
    return picture


def random_triangles(seed, count=60):
    """Triangles that cut each other, some outside the image: points, depths, faces."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-10, 50, (3 * count, 2))
    return points, rng.uniform(0.3, 2.0, 3 * count), np.arange(3 * count).reshape(-1, 3)


def draw_slowly(points, depth, faces):
    """The same by the book: every pixel against every triangle, nearest first."""
    x, y = np.meshgrid(np.arange(WIDTH, dtype=float), np.arange(HEIGHT, dtype=float))
    best = np.full((HEIGHT, WIDTH), np.inf)
    owner = np.full((HEIGHT, WIDTH), -1)
    for number, face in enumerate(faces):
        (ax, ay), (bx, by), (cx, cy) = points[face]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        weights = np.stack(
            [
                (bx - x) * (cy - y) - (by - y) * (cx - x),
                (cx - x) * (ay - y) - (cy - y) * (ax - x),
                (ax - x) * (by - y) - (ay - y) * (bx - x),
            ]
        )
        weights /= area
        z = 1 / np.einsum('c,chw->hw', 1 / depth[face], weights)
        nearer = (weights >= 0).all(0) & (z < best)
        best[nearer], owner[nearer] = z[nearer], number
    return owner, best


@pytest.mark.parametrize('seed', range(5))
def test_random_triangles_are_drawn_as_by_the_book(seed):
    points, depth, faces = random_triangles(seed)
    owner, best = draw_slowly(points, depth, faces)
    drawn = rasterize(points, depth, faces, **WHOLE)
    np.testing.assert_array_equal(picture_of(drawn, drawn.face), owner)
    got = picture_of(drawn, drawn.depth, empty=np.inf)
    np.testing.assert_allclose(got, best, rtol=1e-6)  # float32


def test_drawing_in_small_portions_changes_nothing(monkeypatch):
    points, depth, faces = random_triangles(7)
    whole = rasterize(points, depth, faces, **WHOLE)
    monkeypatch.setattr(rasterizer, 'MAX_PIXELS_AT_ONCE', 50)
    portions = rasterize(points, depth, faces, **WHOLE)
    np.testing.assert_array_equal(
        picture_of(portions, portions.face), picture_of(whole, whole.face)
    )


def test_every_pixel_is_given_once():
    points, depth, faces = random_triangles(3)
    drawn = rasterize(points, depth, faces, **WHOLE)
    pixels = drawn.rows * WIDTH + drawn.columns
    assert len(np.unique(pixels)) == len(pixels) > 100


def test_two_triangles_that_share_an_edge_leave_no_gap():
    rng = np.random.default_rng(1)
    for _ in range(50):
        corners = np.array([[5, 4], [33, 6], [31, 25], [4, 24]]) + rng.uniform(-2, 2, (4, 2))
        faces = np.array([[0, 1, 2], [0, 2, 3]])
        drawn = rasterize(corners, np.ones(4), faces, **WHOLE)
        covered = picture_of(drawn, 1.0, empty=0.0)
        inside = covered[8:22, 8:28]  # in every one of the random squares
        assert inside.all()


def test_interpolation_gives_back_the_corners():
    corners = np.array([[2.0, 3.0], [30.0, 3.0], [2.0, 25.0]])  # on whole pixels
    values = np.array([1.0, 5.0, 9.0])
    drawn = rasterize(corners, np.array([0.5, 1.0, 2.0]), np.array([[0, 1, 2]]), **WHOLE)
    picture = picture_of(drawn, drawn.interpolate(np.array([[0, 1, 2]]), values))
    at_corners = [picture[3, 2], picture[3, 30], picture[25, 2]]
    np.testing.assert_allclose(at_corners, values, atol=1e-5)  # float32


def test_interpolation_follows_perspective():
    """Places on a slanted plane, interpolated, project back onto their pixels."""
    vertices = np.array([[-1.0, -1.0, 1.5], [1.0, -1.0, 3.0], [-1.0, 1.0, 4.0]])
    focal, centre = 20.0, np.array([18.0, 14.0])
    pixels = vertices[:, :2] / vertices[:, 2:] * focal + centre
    face = np.array([[0, 1, 2]])
    drawn = rasterize(pixels, vertices[:, 2], face, **WHOLE)
    places = drawn.interpolate(face, vertices)
    back = places[:, :2] / places[:, 2:] * focal + centre
    expected = np.stack([drawn.columns, drawn.rows], 1)
    np.testing.assert_allclose(back, expected, atol=1e-4)  # pixels; float32 weights
    np.testing.assert_allclose(places[:, 2], drawn.depth, rtol=1e-5)


def test_parallel_projection_runs_linearly():
    corners = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    depth = np.array([1.0, 3.0, 1.0])
    drawn = rasterize(corners, depth, np.array([[0, 1, 2]]), **WHOLE, perspective=False)
    picture = picture_of(drawn, drawn.depth)
    assert picture[0, 10] == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize('sign', [1, -1])
def test_culling_keeps_one_side(sign):
    clockwise = np.array([[2.0, 2.0], [30.0, 2.0], [2.0, 20.0]])  # on a screen with y down
    face = np.array([[0, 1, 2]])
    drawn = rasterize(clockwise, np.ones(3), face, **WHOLE, cull_sign=sign)
    turned = rasterize(clockwise, np.ones(3), face[:, ::-1], **WHOLE, cull_sign=sign)
    assert (len(drawn.rows) > 0) == (sign == 1)
    assert (len(turned.rows) > 0) == (sign == -1)


@pytest.mark.parametrize('bad', [np.nan, np.inf, 0.0, -1.0])
def test_face_with_a_corner_behind_the_camera_is_left_out(bad):
    points, depth, faces = random_triangles(0, count=2)
    points[:3] = [[0, 0], [30, 0], [0, 20]]
    points[3:] = [[0, 0], [30, 0], [0, 20]]
    depth[0] = bad
    if not np.isfinite(bad):
        points[0], depth[0] = bad, 1.0
    drawn = rasterize(points, depth, faces, **WHOLE)
    assert set(drawn.face) == {1}


def test_nothing_to_draw_gives_empty_arrays_of_the_right_shape():
    drawn = rasterize(np.zeros((3, 2)), np.ones(3), np.array([[0, 1, 2]]), **WHOLE)
    assert drawn.rows.shape == (0,) and drawn.barycentric.shape == (0, 3)
    none = rasterize(np.zeros((3, 2)), np.ones(3), np.empty((0, 3), int), **WHOLE)
    assert none.depth.shape == (0,)


def test_triangle_over_the_whole_image_and_far_beyond_covers_all():
    huge = np.array([[-1e7, -1e7], [1e7, -1e7], [0.0, 2e7]])
    drawn = rasterize(huge, np.ones(3), np.array([[0, 1, 2]]), **WHOLE)
    assert len(drawn.rows) == WIDTH * HEIGHT


def test_normals_of_an_octahedron_point_along_its_corners():
    vertices = np.vstack([np.eye(3), -np.eye(3)])
    x, y, z, back_x, back_y, back_z = range(6)
    faces = np.array(
        [
            (x, y, z), (y, back_x, z), (back_x, back_y, z), (back_y, x, z),
            (y, x, back_z), (back_x, y, back_z), (back_y, back_x, back_z), (x, back_y, back_z),
        ]
    )  # fmt: skip
    np.testing.assert_allclose(vertex_normals(vertices, faces), vertices, atol=1e-12)


def test_normal_of_a_vertex_without_faces_is_zero():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]])
    normals = vertex_normals(vertices, np.array([[0, 1, 2]]))
    np.testing.assert_array_equal(normals, [[0, 0, 1]] * 3 + [[0, 0, 0]])
