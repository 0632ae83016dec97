package name

// hanGroups has Han characters that differ in one component of the same outline:
// 日 and 月 in 明朋, 木 and 扌 in 杨扬, 氵 and 冫, 亻 and 彳, 艹 and 竹, 讠 and 氵,
// 宀 and 穴, 广 and 厂, 今 and 令. Each word is a group, as in confusableGroups.
// They were found by the ideographic description sequences of CHISE (cjkvi-ids)
// among the characters of level 1 of GB 2312, JIS X 0208 and Big5, and selected by
// hand: components that readers distinguish at once (木 and 禾 above another, 王
// and 玉, 大 and 太) are left out.
const hanGroups = `
俱倶 値值 殻殼 謠謡 代伐 扎札 扑朴 扛杠 扬杨 扮粉 扱极 扳板 批枇 技枝 抄杪秒 把杷 抒杼 抖料枓科 抗杭 抠枢
抢枪 抨枰秤 抹秣 押柙 抽柚 拄柱 拇栂 拈粘 拉粒 拍柏粕 拒柜 拓柘 拘枸 拦栏 拧柠 拮桔秸 拴栓 持特 挂桂 挑桃
挡档 挺梃 捂梧 捅桶 捆梱 捍桿稈 捎梢稍 捡检 捧棒 捻稔 掉棹 掠椋 推椎稚 揀楝 揖楫 揚楊 揩楷 搂楼 搆構
搖摇榣 搞槁犒稿 搪糖 搶槍 搾榨 摟樓 摸模糢 摻糝 撓橈 撙樽 撬橇 撲樸 撿檢 擅檀 擋檔 操橾 擒檎 擔檐 擢櫂
擭穫 擰檸 攔欄 攬欖 敉枚牧 杜牡 杳香 枠粋 枯牯 栖牺 栗粟 栘移 梁粱 梗粳 梨犁 棕粽 棱稜 棵稞 椅犄 槽糟
檣穡 櫝犢 仿彷 住往 佛彿 佯徉 侍待 俳徘 倘徜 傍徬 伏优 室窒 冲沖 决決诀 冴讶 况況 冷泠 冽洌 净浄 凄淒
准淮谁 凉涼谅 凋调 减減 凑湊 汀订 汁计 汛讯 没设 沦论 沮诅 泽译 洋详 洵询 活话 海诲 涌诵 涎诞 淡谈 淳谆
渚诸 渭谓 滂谤 漫谩 潭谭 澜谰 时肘 明朋 暘腸 暝瞑 暸瞭 朦矇 朧矓 盹肫 眨貶 睥脾 睹賭 瞟膘 瞠膛 瞻膽贍
瞼臉 胎貽 胳賂 脤賑 脹賬 腎賢 膊賻 閒間 阳阴 厅庁 厢廂 厦廈 厲癘 圧庄 庠痒 痳麻 厌疣 叨叼 吞呑 呜鸣 嗚鳴
圻坼 訢訴 帕怕 帳悵 帷惟 幔慢 幢憧 廻迴 廼迺 扦杆秆粁 折拆析柝 抵抿柢牴 担租粗 查査 疸疽 根粮 汗汙 訏訐
迁迂 沂诉 沫沬 泜泯 洒酒 狠狼 眠胝 祆袄 祖袒 竽竿芋芊 笆芭 笞苔 笨苯 筍荀 筧莧 管菅 箩萝 箸著 篙蒿 篦蓖
篮蓝 篷蓬 簑蓑 簫蕭 簿薄 籃藍 籍藉 籐藤 籣蘭 籮蘿 鈐鈴 余佘 沈沉 裴斐 弈奕 赢嬴羸 帅师 玟玫 薛薜 徒徙
遂逐 券卷劵 史吏 今令 萧箫 瓜爪 乒乓 辨辩辫 哀衰衷 官宫 延廷 撥拔 孟盂 宇字 子孑孓
`
