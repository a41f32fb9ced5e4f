# `./run check` and `./run test` come here after installing what is needed.
.PHONY: check lint types imports docs test data-model
BIN := .venv/bin

check:
	@$(MAKE) --no-print-directory -k -j2 --output-sync=target lint types imports docs

lint:
	@$(BIN)/ruff check --quiet . && echo "lint: clean"

types:
	@$(BIN)/mypy

imports:
	@$(BIN)/lint-imports --no-logo

docs:
	@$(BIN)/python -m pytest -q tests/docs

test:
	@$(BIN)/python -m pytest -n 2 -q

data-model:
	@$(BIN)/python -m stillwave.db.tables > docs/data-model.md
	@$(BIN)/python -m stillwave.db.records > docs/records-of-processing.md
