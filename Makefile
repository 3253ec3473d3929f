# `make` alone lists the targets. PYTHON chooses the interpreter: make test PYTHON=python3.12
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
DEMO := runs/demo
LIBRARY := runs/demo_library
# Said in full, or the launcher lists what it assumes.
ONE_PROCESS := --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

$(INSTALLED): setup.cfg pyproject.toml tools/install.sh
	$(PYTHON) -m venv .venv
	tools/install.sh $(BIN)/python
	touch $@

install: $(INSTALLED)  ## make the virtual environment .venv

demo: $(INSTALLED)  ## name barcodes with what ships; pretrain, load, embed and evaluate a tiny model; on bundled barcodes
	rm -rf $(DEMO) $(LIBRARY)
	mkdir -p $(LIBRARY)
	$(BIN)/python tools/demo_files.py $(LIBRARY)
	$(BIN)/barcodemae index $(LIBRARY)/references.fasta -o $(LIBRARY)/library
	$(BIN)/barcodemae identify $(LIBRARY)/queries.fasta --library $(LIBRARY)/library -o $(LIBRARY)/names.tsv --summary $(LIBRARY)/names.html
	$(BIN)/barcodemae cluster $(LIBRARY)/queries.fasta -o $(LIBRARY)/clusters.tsv
	$(BIN)/accelerate launch $(ONE_PROCESS) train.py --config configs/demo.yaml --output_dir $(DEMO)
	$(BIN)/python tools/demo_load.py $(DEMO)
	$(BIN)/python evaluate_embeddings.py --model $(DEMO) --data barcodemae/data/sample/barcodes.parquet --output_dir $(DEMO)/evaluation

test: $(INSTALLED)  ## run the fast tests
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(INSTALLED)  ## run the slow tests: complete workflows in fresh processes
	$(BIN)/python -m pytest -m slow -n 2

aligners:  ## install BLAST and VSEARCH, baselines in the evaluation, where the system allows it
	tools/install_aligners.sh

lint: $(INSTALLED)  ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Installed flat, the packages bear the names under which they import each other.
types: $(INSTALLED)  ## check types
	rm -rf build/types build/lib
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/types .
	cd build/types && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/setup.cfg -p barcodemae -p modeling_barcodemae -p tokenization_barcodemae

docs: $(INSTALLED)  ## build the documentation's site in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

floors:  ## run the fast tests with the oldest versions that setup.cfg allows
	rm -rf build/floors
	$(PYTHON) -m venv build/floors
	$(PYTHON) tools/floors.py > build/floors/constraints.txt
	PIP_CONSTRAINT=build/floors/constraints.txt tools/install.sh build/floors/bin/python
	build/floors/bin/python -m pytest -m "not slow" -n 2 --dist loadfile

clean:  ## remove the environment, the demo's run and all that was built
	rm -rf .venv build dist $(DEMO) $(LIBRARY) .pytest_cache .ruff_cache .mypy_cache .hypothesis

.PHONY: help install demo test test-slow aligners lint types docs floors clean
