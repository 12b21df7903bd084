# A guest that is as small as can be: long mode, a page fault that maps what was touched, ten interrupts of the local APIC's timer, each a letter on COM1, power off.
# It is a flat multiboot file at 2 MiB. ticks.ts has it as bytes: gcc -c ticks.S && ld -Ttext 0x200000 --oformat binary.
.set BASE, 0x200000
.set LEVEL4, 0x300000
.set COM1, 0x3f8
.code32
header:
    .long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
    .long BASE, BASE, 0, 0, start
start:
    mov $0x240000, %esp
    # Four levels: the first GiB by pages of 2 MiB, and the one with the local APIC.
    movl $LEVEL4 + 0x1003, LEVEL4
    movl $LEVEL4 + 0x2003, LEVEL4 + 0x1000
    movl $LEVEL4 + 0x3003, LEVEL4 + 0x1018
    movl $0xfee00093, LEVEL4 + 0x3000 + 8 * 503
    mov $LEVEL4 + 0x2000, %edi
    mov $0x83, %eax
1:  mov %eax, (%edi)
    add $8, %edi
    add $0x200000, %eax
    cmp $0x40000000, %eax
    jb 1b
    mov $LEVEL4, %eax
    mov %eax, %cr3
    mov $0x20, %eax
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80010000, %eax
    mov %eax, %cr0
    lgdt gdtr
    ljmp $8, $long
.code64
long:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0x240000, %esp
    mov $fault, %eax
    mov $14, %edx
    call gate
    mov $tick, %eax
    mov $0x40, %edx
    call gate
    lidt idtr
    mov $0xff, %al
    out %al, $0x21
    out %al, $0xa1
    # Nothing is mapped at 1 GiB yet: the fault maps it.
    mov $0x5a, %al
    mov $0x40000000, %ebx
    mov %al, (%rbx)
    cmp %al, 0
    jne off
    mov $0xfee00000, %ebx
    movl $0x1ff, 0xf0(%rbx)
    movl $0xb, 0x3e0(%rbx)
    movl $0x20040, 0x320(%rbx)
    movl $1000000, 0x380(%rbx)
    sti
2:  hlt
    cmpl $10, ticks
    jb 2b
    cli
    mov $COM1, %dx
    mov $'\n', %al
    out %al, %dx
off:
    mov $0x604, %dx
    mov $0x3400, %ax
    out %ax, %dx
    hlt
gate: # eax: where, edx: vector
    shl $4, %edx
    mov %ax, 0x310000(%rdx)
    movl $0x8e00, 0x310004(%rdx)
    movw $8, 0x310002(%rdx)
    shr $16, %eax
    mov %ax, 0x310006(%rdx)
    ret
fault:
    push %rax
    push %rdx
    mov $COM1, %dx
    mov $'F', %al
    out %al, %dx
    movl $LEVEL4 + 0x4003, LEVEL4 + 0x1008
    movl $0x83, LEVEL4 + 0x4000
    pop %rdx
    pop %rax
    add $8, %rsp
    iretq
tick:
    push %rax
    push %rdx
    incl ticks
    mov ticks, %eax
    add $'a' - 1, %al
    mov $COM1, %dx
    out %al, %dx
    mov $0xfee00000, %eax
    movl $0, 0xb0(%rax)
    pop %rdx
    pop %rax
    iretq
.balign 8
gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:
    .word 23
    .long gdt
idtr:
    .word 0xfff
    .quad 0x310000
.balign 4
ticks:
    .long 0
