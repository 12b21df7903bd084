import { expect, it } from 'vitest'
import { parseUris, programError } from './apt.ts'

it('reads what apt would install', () => {
  const text = `Reading package lists...
The following NEW packages will be installed:
  gcc libgmp10
'http://mirror.invalid/debian/pool/main/g/gmp/libgmp10_6.3.0%2bdfsg-3_riscv64.deb' libgmp10_2%3a6.3.0+dfsg-3_riscv64.deb 557844 SHA256:00ff
'http://mirror.invalid/debian/pool/main/b/base-files/base-files_13.8_riscv64.deb' base-files_13.8_riscv64.deb 88248
'file:/pool/it%20is/tzdata_2026c-0%2bdeb13u1_all.deb' tzdata_2026c-0+deb13u1_all.deb 264156 SHA256:00ff
`
  expect(parseUris(text)).toEqual([
    { name: 'libgmp10', version: '2:6.3.0+dfsg-3', size: 557844 },
    { name: 'base-files', version: '13.8', size: 88248 },
    { name: 'tzdata', version: '2026c-0+deb13u1', size: 264156 },
  ])
})

it.each([
  ['E: You don\'t have enough free space in /c/archives/.', 'guest-cache'],
  ['W: x\nE: Failed to fetch http://mirror.invalid/x.deb  Error writing to file - write (28: No space left on device)', 'guest-cache'],
  ['dpkg-deb: error: cannot copy archive member from \'x.deb\' to decompressor pipe: failed to write (No space left on device)', 'guest-cache'],
  ['E: Failed to fetch http://mirror.invalid/x.deb  Could not connect', 'guest-download'],
  ['', 'guest-download'],
])('knows a full disk from a network that fails: %s', (stderr, code) => {
  const error = programError('guest-download', 'it failed', 'Check the network connection and try again', stderr, 100)
  expect(error).toMatchObject({ code })
  expect(error.message.includes('network')).toBe(code === 'guest-download')
  expect(error.message.includes('Make room')).toBe(code === 'guest-cache')
})
