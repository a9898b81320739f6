import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import layers

CENTERS = [0.5, -1.0, 2.0, 0.0]


@pytest.fixture
def quantizer():
    made = layers.CentersQuantizer(4)
    made.centers.assign(CENTERS)
    return made


def test_the_nearest_center_is_taken_and_the_first_of_two(quantizer):
    z = [-5.0, -0.51, -0.5, -0.49, 0.24, 0.25, 0.26, 1.24, 1.25, 1.26, 9.0]
    expected = [1, 1, 1, 3, 3, 0, 0, 0, 0, 2, 2]
    q_bar, symbols = quantizer(tf.constant(z))
    assert symbols.numpy().tolist() == expected
    assert quantizer.symbols(tf.constant(z)).numpy().tolist() == expected
    np.testing.assert_array_equal(q_bar, np.float32(CENTERS)[expected])
    np.testing.assert_array_equal(quantizer.dequantize(symbols), np.float32(CENTERS)[expected])


def test_the_gradient_is_that_of_the_soft_assignment(quantizer):
    def soft(z, centers):
        weights = np.exp(-((z - centers) ** 2))
        return np.sum(weights * centers) / weights.sum()

    z, step = tf.Variable([0.7, -0.3]), 1e-5
    with tf.GradientTape() as tape:
        q_bar, _ = quantizer(z)
        total = tf.reduce_sum(q_bar * [1.0, 3.0])
    to_z, to_centers = tape.gradient(total, [z, quantizer.centers])
    for i, (value, weight) in enumerate([(0.7, 1), (-0.3, 3)]):
        slope = (soft(value + step, np.array(CENTERS)) - soft(value - step, np.array(CENTERS))) / (2 * step)
        assert float(to_z[i]) == pytest.approx(weight * slope, rel=1e-3)
    for j in range(4):
        moved = step * np.eye(4)[j]
        slopes = [soft(v, CENTERS + moved) - soft(v, CENTERS - moved) for v in np.float32([0.7, -0.3])]
        assert float(to_centers[j]) == pytest.approx(np.dot(slopes, [1, 3]) / (2 * step), rel=1e-3)


def test_centers_begin_where_tensorflow_1_draws_them_from_the_released_seed():
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        expected = session.run(tf.compat.v1.random_uniform_initializer(-2.0, 2.0, seed=666)([6]))
    np.testing.assert_allclose(layers.CentersQuantizer(6).centers, expected, atol=1e-6)
    assert len(set(expected)) == 6
    assert sorted(expected) != list(expected)
