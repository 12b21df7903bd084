import { optimiseScriptLater } from './engine-flags.ts'
import { command } from './start/load.ts'

// Before the script: what V8 compiles depends on its flags.
optimiseScriptLater()

void command(__dirname).main(process.argv.slice(2)).then((status) => { process.exitCode = status & 0xff })
