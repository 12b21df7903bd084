/* The JavaScript engine, and the program in it. */
#pragma once

/* Runs the program, to its end and ours. */
void engine_run(void) __attribute__((noreturn));
