#!/usr/bin/env node
import { optimiseScriptLater } from './engine-flags.ts'
import { main } from './main.ts'

optimiseScriptLater()

process.exitCode = await main(process.argv.slice(2)) & 0xff
