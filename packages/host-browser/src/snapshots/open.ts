import { machinistError } from '@machinist/api'
import { openSnapshot, type OpenSnapshot } from '@machinist/snapshot'
import type { NamedFiles } from '../disks/open.ts'
import { blobInput } from './blob-input.ts'
import { snapshotCodec } from './codec.ts'
import { type RangedInput, rangedInput } from './ranged-input.ts'
import { rangeRequests } from './requests.ts'

/** A snapshot's file, open in a worker. */
export interface BrowserSnapshot {
  readonly stored: OpenSnapshot
  /** Loads what is on a web server, before somebody touches it. */
  ahead(): Promise<void>
}

/**
 * Opens a snapshot's file: at a URL, which is read by ranges as pages are touched, or a blob. What it stands on is in its folder on the server or below; or, of what a user gave, what
 * he gave too.
 *
 * @throws typed errors `'snapshot-load'`, and as `openSnapshot` of `@machinist/snapshot`
 */
export function openBrowserSnapshot(from: string | Blob, named: NamedFiles): BrowserSnapshot {
  const ranged: RangedInput[] = []
  const at = (url: URL): RangedInput => {
    const input = rangedInput(url.href, rangeRequests(url))
    ranged.push(input)
    return input
  }
  const given = (name: string): Blob | undefined => Object.hasOwn(named.files, name) ? named.files[name] : undefined
  const blob = from instanceof Blob ? from : given(from)
  const url = blob === undefined ? urlOf(from as string, named.base) : null
  const input = blob === undefined ? at(url as URL) : blobInput(from instanceof Blob ? 'the snapshot' : from, blob)
  const refused = (child: string, name: string): Error => machinistError({ code: 'snapshot-load', part: child, value: name, remedy: 'Put it into the folder of the snapshot, or give it among the files.' }, 'it names a file that it may not')
  const stored = openSnapshot(input, snapshotCodec, {
    openParent(child, name) {
      if (url === null) {
        const parent = given(name)
        if (parent === undefined) throw refused(child, name)
        return blobInput(name, parent)
      }
      // Whatever is in the name, it is a path.
      const target = new URL(name.split('/').map(encodeURIComponent).join('/'), child)
      if (!target.href.startsWith(new URL('.', url).href)) throw refused(child, name)
      return at(target)
    },
  })
  return { stored, async ahead() { for (const each of ranged) await each.ahead() } }
}

function urlOf(text: string, base: string): URL {
  try {
    return new URL(text, base)
  } catch {
    throw machinistError({ code: 'snapshot-load', part: 'snapshot', value: text, remedy: 'Give a URL, or a path of this site.' }, 'it is no URL')
  }
}
