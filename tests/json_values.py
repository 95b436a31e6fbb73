"""What JSON may hold, for whoever has to be ready for anything."""

from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NESTED = b"[" * 100_000
HUGE = 10**400  # a whole number that no float holds
