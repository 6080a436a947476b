install:
	python3 -m pip install -e '.[test]'

check:
	ruff format --check .
	ruff check .
	mypy

test:
	python3 -m pytest

.PHONY: install check test
