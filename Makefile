# The commands of this repository. What they do stands in scripts/, one small file each.
.PHONY: help run test lint bench build web fmt clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 8

run: ## set up everything that is missing, build, and start Fast-Flow on http://127.0.0.1:8000
	@scripts/run

test: ## set up what the tests need and run all of them (some: scripts/test NAME)
	@scripts/test

lint: ## formatting, clippy, floor plan, dependencies
	@scripts/lint

bench: ## measure against raw Docker (20 minutes; leave the machine alone; PART="starts flood" for some, WRITE=1 for the document)
	@scripts/bench $(PART) $(if $(WRITE),--write)

build: web ## build the SPA and the server that is shipped, into target/dist/
	@scripts/step "Server" scripts/dist

web: ## build the SPA into frontend/dist/
	@scripts/step "Rust and the SPA's tools" scripts/tools
	@scripts/step "SPA" scripts/web

fmt: ## format the code
	@cargo fmt --all

clean: ## remove what was built (keeps ./data, the tools, the worker image)
	@cargo clean
	@rm -rf target frontend/dist
