"""The programs of the API page: they type-check, and `test_programs` runs them."""
