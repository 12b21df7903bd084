import type { MachinistError } from '@machinist/api'

/** What on the command line does what an error's remedy asks for. Packages say what is wrong without it: programs use them, too. */
const HINTS: Readonly<Record<string, string>> = {
  'boot-memory': '--memory',
  'boot-nothing': '--kernel, --firmware',
  'chosen-bootargs': '--append',
  'linux-disk': '--kernel',
  ext4: '--kernel',
  'disk-shrink': '--shrink',
  'image-damaged': 'machinist disk check',
  'image-snapshot': 'machinist disk info',
  'tap-system': '--net nat',
}

/** An error as the command line tells it. */
export function errorText({ code, message }: MachinistError): string {
  const hint = HINTS[code]
  return hint === undefined || message.includes(hint) ? message : `${message.replace(/\.$/, '')} (${hint})`
}
