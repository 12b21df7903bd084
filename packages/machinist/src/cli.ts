#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'
import { main } from './main.ts'

// V8 takes longer to optimise functions that write and decode code for a second or two than they take themselves.
setFlagsFromString('--interrupt-budget=1000000')

process.exitCode = await main(process.argv.slice(2)) & 0xff
