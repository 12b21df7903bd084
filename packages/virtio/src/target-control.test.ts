import { isMachinistError } from '@machinist/api'
import { expect, it } from 'vitest'
import { balloonControl, memoryControl } from './index.ts'

it.each([['balloon', balloonControl], ['memory', memoryControl]] as const)('the target of a %s is saved, and counts where the program names none', (name, make) => {
  const control = make({ target: 3 * 4096 })
  control.connect(() => undefined)
  control.target = 5 * 4096
  const [state] = control.save?.() ?? []
  expect(state).toEqual({ kind: `${name}-target`, version: 1, state: { target: 5 * 4096 } })
  if (state === undefined) return
  const silent = make()
  const named = make({ target: 0 })
  const later = make()
  later.target = 4096
  for (const each of [silent, named, later]) expect([each.restore?.(state, 'mem0.host'), each.restore?.({ ...state, kind: 'other' }, 'mem0.host')]).toEqual([true, false])
  expect([silent, named, later].map((each) => [each.target, each.connect(() => undefined).target])).toEqual([[20480, 20480], [0, 0], [4096, 4096]])
  for (const target of [-1, 0.5, 2 ** 45, 'x', null]) {
    expect(() => make().restore?.({ ...state, state: { target } }, 'mem0.host')).toThrow(expect.toSatisfy((error) => isMachinistError(error) && error.code === 'state' && error.part === 'mem0.host') as Error)
  }
})

it.each([['balloon', balloonControl], ['memory', memoryControl]] as const)('a copy of a machine has a %s of its own, which is asked for the same', (_name, make) => {
  const control = make({ target: 3 * 4096 })
  const port = control.connect((deliver) => { deliver() })
  const copy = control.fork()
  const copied = copy.connect((deliver) => { deliver() })
  expect(copied.target).toBe(3 * 4096)
  copy.target = 4096
  copied.resized(8192)
  expect([port.target, control.target, control.size, copied.target, copy.size]).toEqual([12288, 12288, 0, 4096, 8192])
})
