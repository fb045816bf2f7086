import numpy as np

from thalweg.problem.data.splitting import first_copies, row_hashes, shared_rows, units_of


def test_copies_point_to_the_first_of_them():
    rows = np.array([[1.0, 2], [3, 4], [1, 2], [1, 2]])
    assert first_copies(row_hashes(rows)).tolist() == [0, 1, 0, 0]


def test_a_hash_is_of_the_whole_row_wherever_it_lies():
    rows = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    apart = np.stack([rows, rows], axis=-1)[..., 0]
    assert row_hashes(apart).tolist() == row_hashes(rows).tolist()
    rows[1, 2, 3] += 1
    assert (row_hashes(apart) == row_hashes(rows)).tolist() == [True, False]


def test_copies_stay_together_where_rows_are_drawn():
    first = np.array([0, 1, 0, 3, 4, 5])
    units, notes = units_of(first, random=True)
    assert units is first and "1 of 6 rows repeat" in notes[0].text
    units, notes = units_of(first, random=False)
    assert units is None and len(notes) == 1


def test_rows_that_repeat_all_the_time_are_drawn_freely():
    units, notes = units_of(np.array([0, 0, 0, 0, 4]), random=True)
    assert units is None and "too many" in notes[0].text


def test_no_copies_no_word():
    assert units_of(np.arange(5), random=True) == (None, ())


def test_test_rows_seen_in_training_are_counted():
    train = row_hashes(np.array([[1, 2], [3, 4]]))
    assert "1 of 2 test rows" in shared_rows(train, row_hashes(np.array([[3, 4], [5, 6]])))[0].text
    assert shared_rows(train, row_hashes(np.array([[5, 6]]))) == ()
