import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PAGE_SIZE, SwapSpace } from '@machinist/memory'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { swapFile } from './swap-file.ts'

let folder = ''
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'machinist-swap-')) })
afterAll(() => { rmSync(folder, { recursive: true }) })

it('keeps pages in a file without a name, as many as it may have', () => {
  const space = new SwapSpace(swapFile({ folder, size: 3 * PAGE_SIZE }))
  expect(readdirSync(folder)).toEqual([])
  const page = (value: number): Uint8Array => new Uint8Array(PAGE_SIZE).fill(value)
  expect([1, 2, 3, 4].map((value) => space.put(page(value)))).toEqual([0, 1, 2, -1])
  const into = new Uint8Array(PAGE_SIZE)
  for (const place of [2, 0, 1]) {
    space.load(place, into)
    expect(into).toEqual(page(place + 1))
  }
  space.free(1)
  expect([space.used, space.put(page(5)), space.used]).toEqual([2, 1, 3])
  space.load(1, into)
  expect(into).toEqual(page(5))
})

it('refuses what is no size, and a folder that is not there', () => {
  expect(() => swapFile({ size: 5 })).toThrow(expect.objectContaining({ code: 'parameter' }))
  expect(() => swapFile({ folder: join(folder, 'none') })).toThrow(/no such file/)
})

it('says so when a page is missing', () => {
  const file = swapFile({ folder })
  expect(() => { file.read(3, new Uint8Array(PAGE_SIZE)) }).toThrow(expect.objectContaining({ code: 'swap-damaged' }))
  file.close()
})
