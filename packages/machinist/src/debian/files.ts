import { type GuestArchitecture, SUITE, suiteOf } from '../guest/packages.ts'
import type { AptSource } from '../guest/sources.ts'

/** A file of the guest: path, content, mode. */
export type GuestFile = readonly [path: string, content: string, mode?: number]

/** Names the disk's file system; `/etc/fstab` finds it by that. */
export const LABEL = 'debian'
/** The tag of the folder of the host that `/mnt/share` shows, where the machine has one. */
export const SHARE_TAG = 'share'

/**
 * What the initial file system loads. MODULES=most would take every driver of Debian, of which our machines, and QEMU's, have these;
 * the rest can be loaded once the root file system is there.
 */
const INITRAMFS_MODULES = ['virtio_mmio', 'virtio_pci', 'virtio_blk', 'virtio_scsi', 'virtio_net', 'ext4']

/** Of Debian's three kinds of keys one is enough, and RSA takes an emulated machine ten seconds. */
const KEYGEN = ['ExecStart=', "ExecStart=ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key"] as const

/** Before trixie, keys are made when the package is installed, and no service makes them. */
const OLDER_FILES: readonly GuestFile[] = [
  ['etc/systemd/system/sshd-keygen.service', ['[Unit]', 'Description=OpenSSH server keys', 'Before=ssh.service', '', '[Service]', 'Type=oneshot', 'RemainAfterExit=yes', ''].join('\n')],
  ['etc/systemd/system/ssh.service.d/machinist.conf', ['[Unit]', 'Wants=sshd-keygen.service', 'After=sshd-keygen.service', ''].join('\n')],
]

/** What every disk has, whoever it is for: part of the cached system. */
export const systemFiles = (architecture: GuestArchitecture): readonly GuestFile[] => suiteOf(architecture) === SUITE ? SYSTEM_FILES : [...SYSTEM_FILES, ...OLDER_FILES]

const SYSTEM_FILES: readonly GuestFile[] = [
  ['etc/fstab', [
    `LABEL=${LABEL} / ext4 errors=remount-ro 0 1`,
    // Mounted when somebody looks: a machine without it has nothing that failed.
    `${SHARE_TAG} /mnt/share 9p trans=virtio,version=9p2000.L,msize=512000,noauto,nofail,x-systemd.automount 0 0`,
    '',
  ].join('\n')],
  ['etc/initramfs-tools/conf.d/machinist', 'MODULES=list\nFSTYPE=ext4\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\n'],
  ['etc/initramfs-tools/modules', INITRAMFS_MODULES.map((name) => `${name}\n`).join('')],
  ['etc/systemd/network/80-ethernet.network', '[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\nUseDomains=yes\n'],
  ['etc/systemd/system/sshd-keygen.service.d/machinist.conf', [
    '[Unit]', 'ConditionFirstBoot=', 'ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key', '',
    '[Service]', ...KEYGEN, '',
  ].join('\n')],
]

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/**
 * The guest's `debian.sources`: the mirror that the host uses, and from there, or where the host has them from, updates and security
 * updates when the host has these.
 */
export function guestSources(archive: AptSource, all: readonly AptSource[], suite: string): string {
  const stanza = (uris: readonly string[], suites: readonly string[]): string =>
    ['Types: deb', `URIs: ${uris.join(' ')}`, `Suites: ${suites.join(' ')}`, 'Components: main', `Signed-By: ${KEYRING}`, ''].join('\n')
  const with_ = (suffix: RegExp): AptSource | undefined =>
    all.find(({ types, components, suites }) => types.includes('deb') && components.includes('main') && suites.some((name) => suffix.test(name)))
  const updates = with_(/^[a-z]+-updates$/)
  const security = with_(/^[a-z]+-security$|^[a-z]+\/updates$/)
  return [
    stanza(archive.uris, [suite, ...(updates?.uris.join() === archive.uris.join() ? [`${suite}-updates`] : [])]),
    ...(updates !== undefined && updates.uris.join() !== archive.uris.join() ? [stanza(updates.uris, [`${suite}-updates`])] : []),
    ...(security === undefined ? [] : [stanza(security.uris, [`${suite}-security`])]),
  ].join('\n')
}

/** What makes a disk somebody's own. */
export interface Settings {
  readonly hostname: string
  /** Text of `debian.sources`. */
  readonly sources: string
  /** Lines of `authorized_keys`. */
  readonly sshKeys: readonly string[]
}

/** The files of a disk's own. */
export function ownFiles({ hostname, sources, sshKeys }: Settings): readonly GuestFile[] {
  return [
    ['etc/hostname', `${hostname}\n`],
    ['etc/hosts', `127.0.0.1 localhost\n127.0.1.1 ${hostname}\n::1 localhost ip6-localhost ip6-loopback\n`],
    ['etc/apt/sources.list.d/debian.sources', sources],
    ...(sshKeys.length === 0 ? [] : [['root/.ssh/authorized_keys', sshKeys.map((key) => `${key}\n`).join(''), 0o600] as const]),
  ]
}
