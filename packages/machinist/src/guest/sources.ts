/** An archive that the machine's own apt uses. */
export interface AptSource {
  readonly types: readonly string[]
  readonly uris: readonly string[]
  readonly suites: readonly string[]
  readonly components: readonly string[]
  /** Value of `Signed-By`: files, fingerprints, or a key block of several lines. */
  readonly signedBy: string | undefined
}

const words = (text: string | undefined): string[] => (text ?? '').split(/\s+/).filter((word) => word !== '')

/** Reads the deb822 form, `*.sources` (sources.list(5)). */
export function parseDeb822(text: string): AptSource[] {
  const sources: AptSource[] = []
  for (const stanza of text.split(/\n(?:[ \t]*\n)+/)) {
    const fields = new Map<string, string>()
    let last = ''
    for (const line of stanza.split('\n')) {
      if (line.startsWith('#') || line.trim() === '') continue
      const field = /^([^\s:]+):(.*)$/.exec(line)
      if (field !== null && !/^\s/.test(line)) {
        last = (field[1] ?? '').toLowerCase()
        fields.set(last, (field[2] ?? '').trim())
      } else if (last !== '') fields.set(last, `${fields.get(last) ?? ''}\n${line}`)
    }
    if (/^(no|false|0|off|without|disable)$/i.test(fields.get('enabled') ?? 'yes')) continue
    const source = {
      types: words(fields.get('types')),
      uris: words(fields.get('uris')),
      suites: words(fields.get('suites')),
      components: words(fields.get('components')),
      signedBy: fields.get('signed-by'),
    }
    if (source.uris.length > 0) sources.push(source)
  }
  return sources
}

/** Reads the one-line form, `*.list` (sources.list(5)). */
export function parseList(text: string): AptSource[] {
  const sources: AptSource[] = []
  for (const line of text.split('\n')) {
    const match = /^\s*(deb|deb-src)\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line)
    if (match === null) continue
    const [, type = '', options = '', uri = '', suite = '', components = ''] = match
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1]?.replaceAll(',', ' ')
    sources.push({ types: [type], uris: [uri], suites: [suite], components: words(components), signedBy })
  }
  return sources
}

/** Suites and code names under which Debian's main archive may be configured, besides the machine's own release. */
const DEBIAN_SUITES = new Set(['oldoldstable', 'oldstable', 'stable', 'testing', 'unstable', 'sid', 'bullseye', 'bookworm', 'trixie', 'forky', 'duke'])

/**
 * The entry of Debian's main archive among `sources`: binary packages, component `main`, a plain release (not security, updates or
 * backports, which may live elsewhere).
 *
 * @param release - the machine's own code name (`VERSION_CODENAME`), if it runs Debian
 */
export function debianArchive(sources: readonly AptSource[], release?: string): AptSource | undefined {
  return sources.find(
    ({ types, uris, suites, components }) =>
      types.includes('deb') &&
      components.includes('main') &&
      suites.some((suite) => DEBIAN_SUITES.has(suite) || suite === release) &&
      !uris.some((uri) => uri.startsWith('cdrom:')),
  )
}
