/* The end, with what one needs to find out why. */
#pragma once
#include "hart.h"

/* Something in the kernel or the engine is wrong: says so, shows who called, and switches off. */
void panic(const char *why) __attribute__((noreturn));
/* A trap of the kernel that nobody reckoned with; its registers are the hart's. */
void crash(struct hart *hart) __attribute__((noreturn));
