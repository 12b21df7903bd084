import { machinistError } from '@machinist/api'
import { openSnapshot, type OpenSnapshot, type SnapshotInput } from '@machinist/snapshot'
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
export async function openBrowserSnapshot(from: string | Blob, named: NamedFiles): Promise<BrowserSnapshot> {
  const ranged = new Map<string, RangedInput | Error>()
  let isOpen = false
  const at = (url: URL): SnapshotInput => {
    const known = ranged.get(url.href)
    if (known === undefined) throw new Wanted(url)
    if (known instanceof Error) throw known
    return { ...known, close() { if (isOpen) known.close() } }
  }
  const given = (name: string): Blob | undefined => Object.hasOwn(named.files, name) ? named.files[name] : undefined
  const blob = from instanceof Blob ? from : given(from)
  const url = blob === undefined ? urlOf(from as string, named.base) : null
  const refused = (child: string, name: string): Error => machinistError({ code: 'snapshot-load', part: child, value: name, remedy: 'Put it into the folder of the snapshot, or give it among the files.' }, 'it names a file that it may not')
  const open = (): OpenSnapshot => openSnapshot(blob === undefined ? at(url as URL) : blobInput(from instanceof Blob ? 'the snapshot' : from, blob), snapshotCodec, {
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
  for (;;) {
    try {
      const stored = open()
      isOpen = true
      return { stored, async ahead() { for (const each of ranged.values()) if (!(each instanceof Error)) await each.ahead() } }
    } catch (error) {
      if (!(error instanceof Wanted)) throw error
      const { url: wanted } = error
      ranged.set(wanted.href, await rangedInput(wanted.href, rangeRequests(wanted)).catch((failed: unknown) => failed instanceof Error ? failed : new Error(String(failed))))
    }
  }
}

/** A file is opened in its own time, but read at once: whoever reads goes on when it is open. */
class Wanted extends Error {
  readonly url: URL
  constructor(url: URL) {
    super(url.href)
    this.url = url
  }
}

function urlOf(text: string, base: string): URL {
  try {
    return new URL(text, base)
  } catch {
    throw machinistError({ code: 'snapshot-load', part: 'snapshot', value: text, remedy: 'Give a URL, or a path of this site.' }, 'it is no URL')
  }
}
