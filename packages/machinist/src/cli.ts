import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { optimiseScriptLater } from './engine-flags.ts'
import { cacheFolder } from './guest/cache-folder.ts'
import { compiledScript } from './start/compiled-script.ts'
import type { Command } from './start/command.ts'

/** Of the command's script; the build says it. */
declare const SCRIPT_ID: string

// Before the script: what V8 compiles depends on its flags.
optimiseScriptLater()

const script = compiledScript({ path: join(__dirname, 'command.cjs'), id: SCRIPT_ID, folders: [__dirname, join(cacheFolder(), 'command')] })
const command = script.runInThisContext() as Command
const packageUrl = (name: string): string => pathToFileURL(require.resolve(name)).href
void command(require, (url) => import(url), packageUrl, {}).main(process.argv.slice(2)).then((status) => { process.exitCode = status & 0xff })
