import { expect, it } from 'vitest'
import { parseUris } from './apt.ts'

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
