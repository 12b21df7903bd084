import { describe, expect, it } from 'vitest'
import { debianArchive, parseDeb822, parseList } from './sources.ts'

const DEB822 = `# A comment
Types: deb deb-src
# in between
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
Enabled: no
URIs: http://off.invalid/debian
Suites: bookworm
Components: main
`

const LIST = `
# deb http://commented.invalid/debian bookworm main
deb cdrom:[Debian]/ bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/x.gpg] https://vendor.invalid/apt nodistro main
deb-src http://mirror.invalid/debian bookworm main
deb http://security.invalid/debian-security bookworm-security main
deb [ signed-by=/a.gpg,/b.gpg ] http://mirror.invalid/debian bookworm main contrib # the one
`

describe('the apt configuration of the machine', () => {
  it('is read in the deb822 form', () => {
    const sources = parseDeb822(DEB822)
    expect(sources).toHaveLength(2)
    expect(sources[0]).toEqual({
      types: ['deb', 'deb-src'],
      uris: ['http://mirror.invalid/debian'],
      suites: ['bookworm', 'bookworm-updates'],
      components: ['main', 'contrib'],
      signedBy: '/usr/share/keyrings/debian-archive-keyring.gpg',
    })
    expect(sources[1]?.signedBy).toContain('BEGIN PGP')
    expect(debianArchive([...sources].reverse())).toBe(sources[0])
  })

  it('is read in the one-line form', () => {
    const archive = debianArchive(parseList(LIST))
    expect(archive).toEqual({ types: ['deb'], uris: ['http://mirror.invalid/debian'], suites: ['bookworm'], components: ['main', 'contrib'], signedBy: '/a.gpg /b.gpg' })
  })

  it('may hold no entry of Debian, and may have a release that is newer than this program', () => {
    expect(debianArchive(parseList('deb http://vendor.invalid/apt nodistro main'))).toBeUndefined()
    const newer = parseList('deb http://mirror.invalid/debian zurg main')
    expect(debianArchive(newer)).toBeUndefined()
    expect(debianArchive(newer, 'zurg')).toBe(newer[0])
  })
})
