import { isMachinistError } from '@machinist/api'
import { expect, it } from 'vitest'
import { parseCommand, restoreOptions } from '../arguments.ts'

const codeOf = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    if (isMachinistError(error)) return `${error.code} ${error.part}`
    throw error
  }
  return 'none'
}

it('a machine that goes on has what its command lines say, the last one first', () => {
  const first = ['--disk', 'a.qcow2', '--harts', '2', '--save', 'x', '--save-after', '3']
  expect(parseCommand(first)).toMatchObject({ kind: 'run', options: { save: { path: 'x', after: 3, lines: [first] } } })
  expect(restoreOptions([first, []], 'x')).toMatchObject({ harts: 2, disks: [{ path: 'a.qcow2' }], save: { path: 'x', lines: [first, []] } })
  const command = parseCommand(['restore', 'x', '--disk', 'b.qcow2', '--net', 'none', '--quiet', '--save=y'])
  if (command.kind !== 'restore') throw new Error(command.kind)
  expect(command).toEqual({ kind: 'restore', file: 'x', words: expect.arrayContaining(['--disk=b.qcow2', '--net=none', '--quiet', '--save=y']) as unknown })
  const options = restoreOptions([first, [], command.words], 'x')
  expect(options).toMatchObject({ harts: 2, disks: [{ path: 'b.qcow2' }], nets: [], quiet: true, save: { path: 'y' } })
  expect(options.save?.after).toBeUndefined()
  // What is in an overlay is in the file.
  expect(restoreOptions([first, ['--disk=c.qcow2,overlay']], 'x').save).toMatchObject({ path: 'x' })
})

it('a PC that goes on has other drives, which its first line has a place for', () => {
  for (const words of [['--cdrom=b.iso'], ['--disk=c,bus=ide']]) {
    expect(parseCommand(['restore', 'x', ...words])).toEqual({ kind: 'restore', file: 'x', words })
    expect(codeOf(() => restoreOptions([['--save', 'x'], words], 'x'))).toBe(`usage ${words[0]?.split('=')[0] ?? ''}`)
  }
  const first = ['--board', 'pc', '--cdrom', 'a.iso', '--save', 'x']
  expect(restoreOptions([first, ['--cdrom=b.iso'], ['--disk=c,bus=ide']], 'x')).toMatchObject({ board: 'pc', cdroms: [{ path: 'b.iso' }], disks: [{ path: 'c', bus: 'ide' }] })
  // The line that made a folder says what its machine is.
  expect(parseCommand(['run', '--snapshots', 'vm', '--cdrom', 'b.iso'])).toMatchObject({ kind: 'run', options: { cdroms: [{ path: 'b.iso' }] } })
})

it('what cannot be saved is refused at once', () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [['--save', ''], '--save'], [['--save', 'x', '--exec', 'ls'], '--save'], [['--save-after', '3'], '--save-after'],
    [['--save', 'x', '--save-after', 'soon'], '--save-after'], [['--save', 'x', '--save-after', '0'], '--save-after'], [['restore'], 'restore'], [['restore', 'x', 'y'], 'restore'], [['restore', 'x', '--harts', '2'], '--harts'],
    [['restore', 'x', '--save-after', '1'], '--save-after'],
  ]
  for (const [args, part] of cases) expect(codeOf(() => parseCommand(args)), args.join(' ')).toBe(`usage ${part}`)
  expect(codeOf(() => restoreOptions([['help']], 'x'))).toBe('usage restore')
})
