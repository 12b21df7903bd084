/**
 * What people do with the exports of each package: groups, and the sources below `src` whose exports they hold (files, or folders with a
 * slash). The most exact one counts; `''` is the rest. The reference shows these groups, and the packages' READMEs name them.
 * @type {Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>}
 */
export const groups = {
  '@machinist/api': {
    'Write a device': ['device', 'interrupt', 'dma', 'clock', 'trace', 'fdt', 'acpi', 'firmware', 'pci', 'shortcut'],
    'Write a CPU': ['cpu', 'debug', 'local-controller', 'x86-start'],
    'Serve a device: backends': ['', 'backend', 'backend-state', 'net', 'vsock', 'files', 'balloon', 'hotplug', 'display', 'input', 'audio'],
    'Refuse': ['errors'],
  },
  '@machinist/boards': {
    'Make a virt machine': ['', 'virt/virt', 'virt/catalogue'],
    'Make a microvm machine': ['microvm/', 'x86/'],
    'Make a PC': ['pc/'],
    'Know its addresses': ['virt/memory-map', 'microvm/memory-map', 'pc/memory-map'],
  },
  '@machinist/boot': {
    'Place a kernel': ['riscv-boot', 'opensbi', 'chosen', 'x86/'],
    'Read programs': ['elf', 'linux-image', 'flat', 'x86/linux-setup'],
    'Build and read device trees': ['fdt-builder', 'fdt-reader'],
    'Build ACPI and MP tables': ['acpi/', 'mp/'],
    'Make an initial file system': ['cpio'],
    'Unpack': ['unpack/'],
    'Find the Linux of a disk': ['linux-disk', 'ext4/'],
    'Texts': ['', 'text'],
  },
  '@machinist/bus': {
    'Route accesses': ['', 'address-space', 'port-space'],
    'Have PCI': ['pci/'],
  },
  '@machinist/cpu-core': {
    'Have harts': ['counted-hart', 'cluster', 'hart-window', 'structure', 'recent-pages'],
    'Debug': ['debugged'],
    'Have generated code': ['module-cache', 'base64'],
    'Translate hot code': ['code-cache', 'jump-cache', 'linking-builder', 'sampled-hart', 'translation'],
    'Reach devices': ['device-access'],
    'Drop translations': ['tlb-hints'],
  },
  '@machinist/cpu-riscv': {
    'Have harts': ['', 'cpu', 'hart', 'hart-layout', 'describe', 'cause'],
    'Look at translations': ['translate/'],
    'Assemble and disassemble': ['isa/'],
  },
  '@machinist/cpu-x86': {
    'Have processors': ['', 'cpu', 'hart'],
    'Execute': ['interpreter', 'flags', 'vector', 'extended-state'],
    'Choose a model': ['model/'],
    'Look at translations': ['translate/'],
    'Assemble and disassemble': ['isa/', 'decode/'],
  },
  '@machinist/devices': {
    'Have a serial line': ['uart-16550a/'],
    'Tell the time': ['goldfish-rtc/', 'mc146818/'],
    'Have the timer of a PC': ['i8254/', 'ticks'],
    'Have screen and keyboard of a PC': ['vga/', 'i8042/'],
    'Have the chips of a PC': ['i440fx/', 'piix3/', 'port-92/'],
    'Have disks and compact discs': ['piix3-ide/', 'nvme/', 'in-order'],
    'Serve firmware': ['fw-cfg/', 'debug-port/'],
    'Know copies apart': ['vmgenid/'],
    'Switch off': ['', 'syscon/', 'acpi-pm/'],
  },
  '@machinist/display': {
    'Talk to a console': ['console/'],
    'See the screen': ['', 'memory-display', 'picture', 'text', 'text-painter'],
    'Press keys and move the pointer': ['input', 'codes', 'terminal-keys'],
    'Hear and speak': ['memory-audio', 'wav'],
  },
  '@machinist/element': {
    'Have a machine in a page': ['', 'element'],
  },
  '@machinist/gdb': {
    'Debug a machine': [''],
  },
  '@machinist/host-browser': {
    'Run a machine in a page': ['', 'page/', 'protocol', 'description'],
    'Keep disks': ['disks/'],
    'Be the worker of a machine': ['worker/', 'host', 'loop', 'images', 'network/'],
  },
  '@machinist/host-metal': {
    'Be a hypervisor on bare metal': [''],
    'Build an image': ['build/'],
    'Run machines on the hardware': ['appliance/', 'host', 'loop', 'vcpu/'],
    'Drive the hardware': ['drivers/'],
    'Have disks of machines': ['datastore/'],
    'Have a monitor': ['monitor/'],
  },
  '@machinist/host-node': {
    'Run a machine': ['', 'node-host', 'system/', 'swap/'],
    'Save and restore, record and replay': ['snapshot/'],
    'Keep machines with their disks': ['snapshot-tree/'],
    'Talk to a console': ['console/'],
    'Open disks': ['disks/', 'files/file', 'files/http-file', 'files/image-files'],
    'Have a datastore': ['datastore/'],
    'Read files': ['files/'],
    'Join networks': ['network/'],
    'Share folders and sockets': ['share/', 'vsock/'],
    'Be the processors of a hypervisor': ['processors/'],
    'Have a hypervisor in the background': ['daemon/'],
  },
  '@machinist/interrupts': {
    'Have a PLIC': ['plic/'],
    'Have timers and software interrupts': ['', 'aclint/', 'harts'],
    'Have messages: IMSIC and APLIC': ['imsic/', 'aplic/'],
    'Have the interrupts of a PC': ['i8259/', 'local-apic/', 'io-apic/'],
  },
  '@machinist/machine': {
    'Define a machine': ['', 'definition/'],
    'See what was chosen': ['resolving/', 'booting/'],
    'Make and run it': ['life/', 'running/', 'assembly/'],
    'Record and replay it': ['tape/', 'seek/'],
    'Test what works with machines': ['testing', 'testing/'],
  },
  '@machinist/machinist': {
    'Run the command': ['', 'main', 'arguments', 'command-line/', 'usage', 'version', 'run', 'stats', 'disk-option', 'machine-file'],
    'Work with a booted guest': ['booted/'],
    'Prepare a guest': ['guest/'],
    'Make and boot disks with Debian': ['debian/', 'disk/'],
    'Run many machines': ['fleet/', 'daemon/'],
    'Debug': ['gdb/'],
    'Profile': ['profile/'],
    'Look at translations': ['translate/'],
    'Build for bare metal': ['metal/'],
  },
  '@machinist/memory': {
    'Have guest memory': ['', 'guest-memory', 'wide-memory', 'page-sums'],
    'Take memory back': ['frame-budget', 'parked/', 'reclaim/'],
    'Lay out linear memory': ['arena', 'layout', 'page-size'],
  },
  '@machinist/mmu': {
    'Walk page tables': ['', 'sv', 'peek', 'x86'],
    'Keep translations': ['tlb', 'ram'],
  },
  '@machinist/network': {
    'Join machines': ['', 'switch', 'cable', 'join', 'port', 'limited', 'named'],
    'Capture': ['capture'],
    'Reach the world: the NAT': ['nat/', 'uplink/'],
  },
  '@machinist/packets': {
    'Read and write headers': ['', 'headers', 'ethernet', 'parse', 'stations'],
    'Check sums': ['checksum'],
    'Cut and join': ['segment', 'flow'],
    'Test': ['testing'],
  },
  '@machinist/registers': {
    'Describe registers': ['', 'table', 'block', 'hooks', 'plain-data'],
    'Test a device': ['testing', 'testing/'],
  },
  '@machinist/softfloat': {
    'Emit arithmetic': ['', 'emit', 'types'],
    'Round and raise flags': ['environment'],
  },
  '@machinist/storage': {
    'Have disks': ['disk', 'raw', 'memory-disk', 'limited', 'with-limits', 'read-only', 'fork/', 'eager', 'later'],
    'Keep changes apart': ['overlay', 'overlay-file', 'overlay-store'],
    'Open and make images': ['', 'formats', 'format', 'file', 'http/', 'copy-image', 'work-on-images', 'switched'],
    'Look into disks': ['partitions/'],
    'Formats of images': ['all-formats', 'raw-format', 'cluster-map', 'bochs/', 'cloop/', 'dmg/', 'parallels/', 'qcow/', 'qcow2/', 'vdi/', 'vhd/', 'vhdx/', 'vmdk/'],
    'Share trees of files': ['tree/'],
  },
  '@machinist/hypervisor': {
    'Run machines': ['', 'contract/hypervisor', 'contract/machines', 'control/'],
    'Share out': ['contract/resources', 'contract/controller', 'table/', 'io/'],
    'Share out memory': ['memory/'],
    'Be a processor': ['processor/', 'channel/'],
    'Reach one from elsewhere': ['remote/'],
    'Show it to people': ['text', 'text/'],
  },
  '@machinist/sbi': {
    'Serve SBI calls': ['', 'sbi', 'numbers'],
    'Count': ['pmu'],
  },
  '@machinist/schedulers': {
    'Schedule': ['', 'scheduler', 'proportional/', 'credit', 'constant-bandwidth', 'round-robin'],
    'Keep harts together': ['co-scheduling'],
    'Know what is due': ['divide'],
    'Write a policy': ['policy', 'capacity', 'heap'],
    'Simulate': ['simulator/'],
  },
  '@machinist/snapshot': {
    'Save': ['', 'writer'],
    'Restore': ['reader'],
    'Record and replay': ['recording/'],
    'Bring files and compression': ['file', 'codec', 'portable/'],
  },
  '@machinist/testkit': {
    'Fuzz a device': ['', 'fuzz', 'shortcuts', 'virtio-driver', 'random'],
    'Compare a CPU with QEMU': ['differential/'],
  },
  '@machinist/translator': {
    'Bring an instruction set': ['', 'code', 'uses'],
    'Compile regions': ['compiler', 'emit', 'exits'],
    'Find structure': ['graph', 'structure'],
    'Look at translations': ['listing'],
  },
  '@machinist/virtio': {
    'Disks and persistent memory': ['block/', 'pmem/'],
    'Consoles and entropy': ['console/', 'entropy/'],
    'Networks and sockets': ['net/', 'vsock/'],
    'Shared folders': ['p9/'],
    'Memory that comes and goes': ['balloon/', 'mem/', 'target-control'],
    'Screens, input and sound': ['gpu/', 'input/', 'sound/'],
    'Write a virtio device': ['', 'device/', 'queue/'],
    'Put it on a bus': ['transport/'],
    'Test a virtio device': ['testing', 'testing/'],
  },
  '@machinist/vitest': {
    'Test with guests': ['', 'fixture'],
  },
  '@machinist/wasm': {
    'Build modules': ['', 'module', 'function', 'expr', 'ops', 'bytes'],
    'Run modules': ['engine'],
    'Read modules': ['read', 'text'],
  },
}

/**
 * The group of what a source file declares.
 * @param {string} name the package's
 * @param {string} source the file's path below `src`
 * @returns {string | undefined}
 */
export function groupOf(name, source) {
  const path = source.replace(/\.ts$/, '')
  let best = { group: /** @type {string | undefined} */ (undefined), length: -1 }
  for (const [group, places] of Object.entries(groups[name] ?? {})) {
    for (const place of places) {
      const fits = place === '' || path === place || (place.endsWith('/') && path.startsWith(place))
      if (fits && place.length > best.length) best = { group, length: place.length }
    }
  }
  return best.group
}
