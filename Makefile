# A thin face on ./dev, which makes the environment when it is missing and then runs the command.
# Arguments go through ARGS:  make demo ARGS=--once    make test ARGS="-k merge -n 0"

.DEFAULT_GOAL := help
.PHONY: demo test check bench crash simulate mutants format help

demo: ## see it at work against a simulated exchange (ARGS=--once: one round)
	@./dev demo $(ARGS)

test: ## run the tests (ARGS go to pytest)
	@./dev test $(ARGS)

check: ## format, lint, layers and types: what must be silent before a commit
	@./dev check $(ARGS)

bench: ## measure against a floor taken in the same run
	@./dev bench $(ARGS)

crash: ## kill -9 ordersync and its servers in the middle of updates, and judge (ARGS="--rounds 20 --seed 7", ARGS=--crew)
	@./dev crash $(ARGS)

simulate: ## simulate at length (SEEDS=100000), and show how to repeat what fails
	@./dev simulate $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

mutants: ## plant mistakes in a copy of the code: the simulation has to find each (ARGS="--only NAME")
	@./dev mutants $(ARGS)

format: ## lay the code out and repair what ruff can repair
	@./dev format $(ARGS)

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
