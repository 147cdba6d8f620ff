# make demo   set up, then simulate -> prepare -> train -> evaluate -> emulate on the mini-Balrog
# make test   set up, then run the tests
# make lint   set up, then ruff and mypy
# make soak   half an hour of emulate with its memory watched, and kills of every stage
# make clean  delete what the demo made (not .venv)

PYTHON ?= python3
PY := .venv/bin/python
INSTALLED := .venv/.installed
SIM := demo/sim
SHARDS := demo/shards
EMULATOR := saved_models/demo
REPORT := demo/evaluation/report.html
MEASURED := demo/measured.parquet

.PHONY: demo test lint soak clean
.DELETE_ON_ERROR:

demo: $(REPORT) $(MEASURED)
	@echo
	@echo "Done. Look at:"
	@echo "  report               $(REPORT)"
	@echo "  exported emulator    $(EMULATOR)   (model card: $(EMULATOR)/README.md)"
	@echo "  emulated catalogue   $(MEASURED)"
	@echo "  training curves      .venv/bin/tensorboard --logdir runs/demo/tensorboard"
	@echo "Next: README.md, 'Your own survey in five minutes'."

test: $(INSTALLED)
	$(PY) -m pytest -n 2 --dist loadfile
	@echo
	@echo "Tests passed. 'make demo' runs everything end to end; README.md says what is what."

lint: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

soak: $(INSTALLED)
	$(PY) benchmarks/soak.py $(SOAK)

clean:
	rm -rf demo runs/demo $(EMULATOR)

$(INSTALLED): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or newer is needed, $$($(PYTHON) --version) found;" \
	       "try make PYTHON=python3.12"; exit 1; }
	@echo "Installing into .venv (once; one to three minutes)"
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[cpu,sim,report,distributed,rail,sweep,onnx,serving,docs,test]'
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps tensorflow-serving-api
	touch $@

# Each step is made only if its result is missing; an interrupted run of training is resumed.
$(SIM)/simulation.json: | $(INSTALLED)
	$(PY) -m data_prep simulate --out $(SIM) --replicate

$(SHARDS)/manifest.json: $(SIM)/simulation.json
	$(PY) -m data_prep prepare --preset des-y3-sof --maps $(SIM)/maps \
	  --catalog $(SIM)/balrog_matched_catalog.parquet \
	  --detection $(SIM)/balrog_detection_catalog.parquet \
	  --replicate $(SIM)/replicate_matched_catalog.parquet --out $(SHARDS) --force

$(EMULATOR)/emulator.json: $(SHARDS)/manifest.json
	if test -f runs/demo/config.yaml; then \
	  $(PY) train.py --data $(SHARDS) --name demo --resume; \
	else \
	  $(PY) train.py --data $(SHARDS) --name demo --config demo.yaml; \
	fi

$(REPORT): $(EMULATOR)/emulator.json
	$(PY) evaluate.py $(EMULATOR) --data $(SHARDS) --out demo/evaluation --record

$(MEASURED): $(EMULATOR)/emulator.json
	$(PY) -m balrog_keras emulate $(EMULATOR) --preset des-y3-sof --maps $(SIM)/maps \
	  --catalog $(SIM)/balrog_detection_catalog.parquet --seed 1 --out $(MEASURED)
