import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { cacheFolder } from '../guest/cache-folder.ts'
import { compiledScript } from './compiled-script.ts'
import type { Command } from './command.ts'

/** Of the command's script; the build says it. */
declare const SCRIPT_ID: string

/**
 * The command's script, run.
 *
 * @param folder - where it is
 */
export function command(folder: string): ReturnType<Command> {
  const script = compiledScript({ path: join(folder, 'command.cjs'), id: SCRIPT_ID, folders: [folder, join(cacheFolder(), 'command')] })
  const run = script.runInThisContext() as Command
  const packageUrl = (name: string): string => pathToFileURL(require.resolve(name)).href
  return run(require, (url) => import(url), packageUrl, {})
}
