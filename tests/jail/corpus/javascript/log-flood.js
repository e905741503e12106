for (let n = 0; n < 20000; n++) console.log("[2J flood flood flood flood flood flood flood flood", n);
export default () => 1;
