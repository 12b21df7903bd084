import { expect, it } from 'vitest'
import { Later } from './later.ts'

it('an answer that comes later is told at once to who listens, and is a promise to everybody else', async () => {
  const later = new Later<number>()
  const told: unknown[] = []
  later.listen((value) => { told.push(value) }, () => undefined)
  later.resolve(3)
  later.resolve(4)
  later.reject(new Error('too late'))
  expect(told).toEqual([3])
  expect(await later).toBe(3)
  const failed = new Later<number>()
  failed.reject(new Error('broken'))
  failed.listen(() => undefined, (error) => { told.push((error as Error).message) })
  expect(told).toEqual([3, 'broken'])
  await expect(failed.then()).rejects.toThrow('broken')
})
