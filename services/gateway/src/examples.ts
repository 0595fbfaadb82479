// What the examples of the reference are made of, so that they speak of the same few things.

export const exampleTime = '2026-01-31T08:00:00.000Z';
export const exampleLaterTime = '2026-01-31T08:00:00.412Z';
export const exampleIds = {
  message: 'msg_01kg97xw00fscrrszmz39ef7mp',
  otherMessage: 'msg_01kg97xw00fscrrszmz39ef7mq',
  event: 'evt_01kg97xw00fscrrszmz39ef7mr',
  batch: 'bat_01kg97xw00fscrrszmz39ef7ms',
  key: 'key_01kg97xw00fscrrszmz39ef7mt',
  domain: 'dom_01kg97xw00fscrrszmz39ef7mv',
  captured: 'cap_01kg97xw00fscrrszmz39ef7mw',
  template: 'tpl_01kg97xw00fscrrszmz39ef7n9',
  user: 'usr_01kg97xw00fscrrszmz39ef7my',
  session: 'ses_01kg97xw00fscrrszmz39ef7mz',
  auditEntry: 'aud_01kg97xw00fscrrszmz39ef7n0',
  smtpUser: 'smu_01kg97xw00fscrrszmz39ef7n1',
  request: 'req_01kg97xw00fscrrszmz39ef7mx',
} as const;
export const exampleCursor = 'bXNnMDE5YzEyN2VmMDAwN2U1OThjNjdmNGY4ZDJlNzllOTY';
