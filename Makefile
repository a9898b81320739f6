# make reproduce   makes .venv if it is missing, measures the shipped weights of all papers on rendered streets with real
#                  files, prints tables and claims, writes runs/reproduce/report.html; goes on where it was stopped
# make test        makes .venv if it is missing, runs the test suite
# make lint        checks style
# make clean       removes .venv and what Python left behind; runs/ stays
#
# PYTHON=/path/to/python3.11 chooses the interpreter that .venv is made with; DATA=DIR adds the
# KITTI images that lie somewhere in DIR.

RUN = .venv/bin/python

.PHONY: reproduce test slow-test lint venv clean

reproduce: venv
	@$(RUN) -m experiments.reproduce $(if $(DATA),--data_dir="$(DATA)")

test: venv
	@$(RUN) -m pytest -n 2 --dist loadfile $(ARGS)

slow-test: venv
	@$(RUN) -m pytest -m slow $(ARGS)

lint: venv
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

venv:
	@PYTHON="$(PYTHON)" sh .ci/venv

clean:
	rm -rf .venv build *.egg-info .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
