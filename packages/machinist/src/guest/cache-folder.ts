import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where downloads are kept: `$MACHINIST_CACHE`, else `$XDG_CACHE_HOME/machinist`, else `~/.cache/machinist`. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  if (env['MACHINIST_CACHE']) return env['MACHINIST_CACHE']
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'machinist')
}
