/** The program of a page that tests drive: what the package exports is at hand by name. */
import * as browser from '../src/index.ts'

Object.assign(globalThis, { browser })
