"""`python -m barcodemae`, as the installed command; `accelerate launch -m barcodemae` starts several of it."""

from barcodemae.cli import main

main()
