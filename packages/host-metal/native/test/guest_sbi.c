/* IPIs between harts of a guest, of which one does not run. */
#include "vcpu.h"
#include "test.h"

enum { A0 = 10, A1 = 11, A6 = 16, A7 = 17 };

uint32_t attention;
struct hart harts[MAX_HARTS];
static uint32_t woken;
void hart_wake(struct hart *hart) { woken += hart == &harts[0]; }
void vcpu_request(struct vcpu *vcpu, uint32_t request) { vcpu->requests |= request; }
void vcpu_wait(struct vcpu *vcpu, uint32_t request) { (void)vcpu, (void)request; }

static struct record records[2];
static struct vm vm;
static struct vcpu sender = { .record = &records[0], .vm = &vm, .hart = &harts[1], .state = VCPU_DISPATCHED };
static struct vcpu other = { .record = &records[1], .vm = &vm, .index = 1, .state = VCPU_STOPPED };

static uint32_t send(void) {
  records[0].x[A7] = 0x735049;
  records[0].x[A6] = 0;
  records[0].x[A0] = 2;
  records[0].x[A1] = 0;
  attention = woken = 0;
  EXPECT(guest_sbi(&sender) && records[0].x[A0] == 0);
  EXPECT(other.requests & REQUEST_SOFTWARE);
  EXPECT(woken == attention);
  return woken;
}

static void publish(void) {
  other.requests &= ~(uint32_t)REQUEST_SOFTWARE;
  records[1].hvip |= IP_VSSIP;
}

int main(void) {
  vm.vcpus[0] = &sender;
  vm.vcpus[1] = &other;
  EXPECT(send() == 1);
  EXPECT(send() == 0);
  publish();
  for (int i = 0; i < 3; i++) {
    EXPECT(send() == 0);
    publish();
  }
  /* It runs: what is pending is the hardware's, until it stops. */
  records[1].hvip = other.requests = 0;
  other.state = VCPU_DISPATCHED;
  EXPECT(send() == 0);
  other.requests = 0;
  other.state = VCPU_STOPPED;
  EXPECT(send() == 1);
  return 0;
}
