import { expect, it } from 'vitest'
import { Patience, Turn } from './patience.ts'

it('waits for the disk no more than a tenth of the time, and does at once what the host has in memory', () => {
  let now = 0
  const patience = new Patience(() => now, { open: () => true })
  let waited = 0
  let atOnce = 0
  // One request after the other: a disk that takes 8 ms, on this thread or another.
  while (now < 60_000) {
    const done = patience.atOnce(4096, () => {
      now += 8
      waited += 8
      atOnce += 1
      return true
    })
    if (done === null) now += 8
  }
  expect(atOnce).toBeGreaterThan(100)
  expect(waited / now).toBeLessThan(0.1 + 20 / 60_000 + 0.001)
  // Then what it reads is in the page cache.
  now += 1000
  for (let request = 0; request < 1000; request++) expect(patience.atOnce(4096, () => { now += 0.01; return request })).toBe(request)
  // A large request may take longer, one that is too large is not tried, and one that fails has waited all the same.
  for (let request = 0; request < 1000; request++) expect(patience.atOnce(100_000, () => { now += 0.14; return 1 })).toBe(1)
  expect(patience.atOnce(1 << 20, () => 1)).toBe(null)
  expect(() => patience.atOnce(512, () => { now += 30; throw new Error('EIO') })).toThrow('EIO')
  expect(patience.atOnce(512, () => 1)).toBe(null)
})

it('makes calls at once for some milliseconds of a turn, with however many files and whatever else goes on', () => {
  let now = 0
  const next: (() => void)[] = []
  const turn = new Turn((callback) => { next.push(callback) })
  const files = Array.from({ length: 10 }, () => new Patience(() => now, turn))
  for (let turns = 0; turns < 5; turns++, now += 0.1) {
    const begin = now
    for (let request = 0; request < 1000; request++) {
      const open = now - begin < 4
      expect(files[request % files.length]?.atOnce(4096, () => { now += 0.01; return 1 })).toBe(open ? 1 : null)
      now += 0.03
    }
    expect(next.length).toBe(1)
    for (const callback of next.splice(0)) callback()
  }
})
