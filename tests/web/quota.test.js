import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Quota } from '../../web/js/quota.js';

const batch = () => true;

/**
 * @param {import('node:test').TestContext} context
 * @param {number} [limit]
 */
function setUp(context, limit = 30) {
  context.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e6 });
  /** @type {number[]} */
  const waits = [];
  return { quota: new Quota(limit, (seconds) => waits.push(seconds)), waits };
}

/**
 * @param {import('node:test').TestContext} context
 * @param {number} ms
 */
async function pass(context, ms) {
  for (let passed = 0; passed < ms; passed += 50) {
    context.mock.timers.tick(50);
    for (let i = 0; i < 5; i += 1) await null;
  }
}

test('a batch leaves three requests to the user, who gets them', async (context) => {
  const { quota } = setUp(context);
  quota.note(5, 40);
  const task = mock.fn(async () => {});
  for (let i = 0; i < 6; i += 1) quota.run(() => new Promise(() => task()), { batch });
  await pass(context, 1_000);
  assert.equal(task.mock.callCount(), 2);
  for (let i = 0; i < 5; i += 1) quota.run(() => new Promise(() => task()));
  await pass(context, 1_000);
  assert.equal(task.mock.callCount(), 5);
});

test('the wait is counted down, and what waits goes on by itself', async (context) => {
  const { quota, waits } = setUp(context);
  quota.note(0, 3);
  const task = mock.fn(async () => quota.note(20, 60));
  quota.run(task);
  await pass(context, 2_500);
  assert.equal(task.mock.callCount(), 0);
  assert.deepEqual([...new Set(waits)], [3, 2, 1]);
  await pass(context, 4_000);
  assert.equal(task.mock.callCount(), 1);
  assert.equal(waits.at(-1), 0);
});

test('an image that the user turns to does not wait for its batch any longer', async (context) => {
  const { quota } = setUp(context);
  quota.note(3, 40);
  let isBatch = true;
  const task = mock.fn(async () => {});
  quota.run(task, { batch: () => isBatch });
  await pass(context, 1_000);
  assert.equal(task.mock.callCount(), 0);
  isBatch = false;
  await pass(context, 500);
  assert.equal(task.mock.callCount(), 1);
});

test('after a 429 everything waits as long as it says and is sent again', async (context) => {
  const { quota } = setUp(context);
  const refused = Object.assign(new Error('429'), { status: 429, retryAfter: 5 });
  const task = mock.fn(async () => 'done');
  task.mock.mockImplementationOnce(async () => {
    throw refused;
  });
  const answer = quota.run(task);
  await pass(context, 4_000);
  assert.equal(task.mock.callCount(), 1);
  await pass(context, 2_000);
  assert.equal(await answer, 'done');
});

test('another failure is the caller’s', async (context) => {
  const { quota } = setUp(context);
  await assert.rejects(
    quota.run(() => Promise.reject(new Error('500'))),
    /500/,
  );
});

test('a task that is dropped while it waits is never sent', async (context) => {
  const { quota } = setUp(context);
  quota.note(0, 5);
  const controller = new AbortController();
  const task = mock.fn(async () => {});
  const run = quota.run(task, { signal: controller.signal });
  const dropped = assert.rejects(run);
  controller.abort();
  await pass(context, 6_000);
  await dropped;
  assert.equal(task.mock.callCount(), 0);
});

test('a hand that keeps moving waits for nothing while there are plenty, and spreads what is left', async (context) => {
  const { quota } = setUp(context);
  assert.equal(quota.spacing, 0);
  quota.note(13, 50);
  await quota.run(async () => {});
  assert.equal(Math.round(quota.spacing), 5_000);
  await pass(context, 3_000);
  assert.ok(quota.spacing <= 2_000);
});

test('gestures of a whole minute never make more requests than the window lets through', async (context) => {
  const { quota } = setUp(context);
  /** @type {number[]} */
  const hits = [];
  let next = 0;
  for (let ms = 0; ms < 120_000; ms += 500) {
    if (Date.now() >= next) {
      quota.run(async () => {
        hits.push(Date.now());
        const inWindow = hits.filter((at) => at > Date.now() - 60_000);
        quota.note(30 - inWindow.length, (Number(inWindow[0]) + 60_000 - Date.now()) / 1000);
      });
      next = Date.now() + Math.max(500, quota.spacing);
    }
    await pass(context, 500);
  }
  const busiest = Math.max(
    ...hits.map((at) => hits.filter((other) => other >= at && other < at + 60_000).length),
  );
  assert.ok(busiest <= 30, `${busiest} in one minute`);
  assert.ok(hits.length > 30, `${hits.length} in two minutes`);
});

test('a request that is dropped after it was sent counts as one of those that are left', async (context) => {
  const { quota } = setUp(context);
  quota.note(1, 40);
  const controller = new AbortController();
  const { signal } = controller;
  const sent = () =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const dropped = quota.run(sent, { signal });
  await pass(context, 100);
  controller.abort();
  await assert.rejects(dropped);
  const task = mock.fn(async () => {});
  quota.run(task);
  await pass(context, 1_000);
  assert.equal(task.mock.callCount(), 0);
});

test('what the server cannot serve now is asked twice more, later than it said, and then given up', async (context) => {
  const { quota } = setUp(context);
  quota.note(30, 60);
  const task = mock.fn(async () => Promise.reject({ status: 503, retryAfter: 2 }));
  const told = mock.fn();
  quota.run(task).catch(told);
  await pass(context, 1_900);
  assert.equal(task.mock.callCount(), 1);
  await pass(context, 9_000);
  assert.equal(task.mock.callCount(), 3);
  assert.equal(told.mock.calls[0]?.arguments[0].status, 503);
});

test('an error of the server itself is not asked again', async (context) => {
  const { quota } = setUp(context);
  quota.note(30, 60);
  const task = mock.fn(async () => Promise.reject({ status: 500, retryAfter: 2 }));
  quota.run(task).catch(() => {});
  await pass(context, 9_000);
  assert.equal(task.mock.callCount(), 1);
});
