import { describe, expect, it } from 'vitest'
import { isMachinistError } from '@machinist/api'
import { parseCommand } from '../arguments.ts'
import { debianArchive, parseDeb822, parseList } from '../guest/sources.ts'
import { guestSources, ownFiles } from './files.ts'

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEdUaGF0IGlzIG5vdCBhIHJlYWwga2V5 me@host'

describe('machinist debian build', () => {
  it('has defaults, and is understood', () => {
    expect(parseCommand(['debian', 'build'])).toEqual({ kind: 'debian', options: { output: 'debian.qcow2', packages: [], sshKeys: [], fresh: false, quiet: false } })
    const args = ['debian', 'build', '--output', 'x', '--size', '8G', '--packages', 'git, vim', '--packages=libstdc++6', '--hostname', 'a-1', '--root-password', ' p', '--ssh-key', KEY, '--fresh', '--quiet']
    expect(parseCommand(args)).toEqual({ kind: 'debian', options: {
      output: 'x', size: 2 ** 33, packages: ['git', 'vim', 'libstdc++6'], hostname: 'a-1', rootPassword: ' p', sshKeys: [KEY], fresh: true, quiet: true,
    } })
    expect(parseCommand(['debian', 'build', '--arch', 'x86_64'])).toMatchObject({ options: { architecture: 'amd64' } })
    expect(parseCommand(['debian', '--help'])).toEqual({ kind: 'help', topic: 'debian' })
  })

  it.each([
    [[], 'debian'], [['make'], 'make'], [['build', 'x'], 'debian'], [['build', '--size', '10M'], '--size'], [['build', '--size', 'x'], '--size'], [['build', '--output', ''], '--output'],
    [['build', '--packages', 'a;b'], '--packages'], [['build', '--packages', '-o=x'], '--packages'], [['build', '--hostname', 'a b'], '--hostname'], [['build', '--hostname', '-a'], '--hostname'],
    [['build', '--root-password', 'a\nb'], '--root-password'], [['build', '--root-password', ''], '--root-password'], [['build', '--ssh-key', '/nonexistent'], '--ssh-key'],
    [['build', '--ssh-key', '/etc/hostname'], '--ssh-key'], [['build', '--harts', '2'], '--harts'], [['build', '--arch', 'mips'], '--arch'],
  ])('refuses %j, naming %s', (args, part) => {
    let caught: unknown
    try {
      parseCommand(['debian', ...args])
    } catch (error) {
      caught = error
    }
    expect(isMachinistError(caught) && caught.part).toBe(part)
  })
})

describe('machinist DISK', () => {
  it('is a disk that boots itself, unless a kernel is given', () => {
    expect(parseCommand(['run', 'a.img,overlay', '--disk', 'b', '--harts', '2'])).toEqual({ kind: 'run', options: {
      bootDisk: { path: 'a.img', mode: 'overlay' }, disks: [{ path: 'a.img', mode: 'overlay' }, { path: 'b', mode: 'rw' }], shares: [], harts: 2, quiet: false, stats: false,
    } })
    expect(parseCommand(['a.img', '--kernel', 'Image'])).toEqual({ kind: 'run', options: { kernel: 'Image', disks: [{ path: 'a.img', mode: 'rw' }], shares: [], quiet: false, stats: false } })
    expect(() => parseCommand(['a.img', 'b.img'])).toThrow('more than one disk')
    expect(() => parseCommand(['a.img', '--exec', 'true'])).toThrow('--exec')
  })
})

describe('the sources of the guest', () => {
  const sources = (text: string): string => {
    const all = text.startsWith('Types') ? parseDeb822(text) : parseList(text)
    const archive = debianArchive(all, 'bookworm')
    return archive === undefined ? '' : guestSources(archive, all, 'trixie')
  }
  const wanted = (text: string): unknown[] => parseDeb822(text).map(({ uris, suites }) => [uris, suites])

  it('are those of the host, for the release of the guest', () => {
    expect(wanted(sources('Types: deb deb-src\nURIs: http://m.invalid/debian\nSuites: bookworm bookworm-updates\nComponents: main contrib\n\nTypes: deb\nURIs: http://m.invalid/sec\nSuites: bookworm-security\nComponents: main\n')))
      .toEqual([[['http://m.invalid/debian'], ['trixie', 'trixie-updates']], [['http://m.invalid/sec'], ['trixie-security']]])
    expect(wanted(sources('deb https://a.invalid/d bookworm main\ndeb https://b.invalid/d bookworm-updates main\ndeb https://c.invalid/x stable nothing\n')))
      .toEqual([[['https://a.invalid/d'], ['trixie']], [['https://b.invalid/d'], ['trixie-updates']]])
    expect(wanted(sources('deb http://a.invalid/d sid main\n'))).toEqual([[['http://a.invalid/d'], ['trixie']]])
  })

  it('come with keys that only root reads', () => {
    const files = ownFiles({ hostname: 'h', sources: '', sshKeys: [KEY] })
    expect(files.find(([path]) => path === 'root/.ssh/authorized_keys')).toEqual(['root/.ssh/authorized_keys', `${KEY}\n`, 0o600])
    expect(ownFiles({ hostname: 'h', sources: '', sshKeys: [] }).some(([path]) => path.startsWith('root/'))).toBe(false)
  })
})
