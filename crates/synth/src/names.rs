//! Chinese names, made up.

use crate::draw::{Draws, Stream};

const FAMILY: [&str; 40] = [
    "王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周", "徐", "孙", "马", "朱", "胡", "郭", "何", "林", "高",
    "罗", "郑", "梁", "谢", "宋", "唐", "许", "韩", "冯", "邓", "曹", "彭", "曾", "肖", "田", "董", "潘", "袁", "蔡",
    "欧阳", "司马",
];
const MALE: [&str; 24] = [
    "伟", "强", "磊", "军", "洋", "勇", "杰", "涛", "明", "超", "刚", "平", "辉", "鹏", "健", "斌", "波", "浩", "宇",
    "志", "国", "建", "文", "海",
];
const FEMALE: [&str; 24] = [
    "芳", "娜", "敏", "静", "丽", "艳", "娟", "霞", "燕", "玲", "婷", "雪", "慧", "莹", "洁", "琳", "梅", "红", "秀",
    "兰", "雨", "佳", "怡", "欣",
];

/// Appends a name of one family name and one or two given characters.
pub(crate) fn write(seed: u64, index: u32, male: bool, out: &mut Vec<u8>) {
    let mut d = Draws::new(seed, Stream::Name, index.into());
    let given = if male { &MALE } else { &FEMALE };
    let mut part = |list: &[&str]| out.extend_from_slice(list[d.below(list.len() as u64) as usize].as_bytes());
    part(&FAMILY);
    part(given);
    let h = kairos_model::hash::salted2(seed, Stream::Name as u64, index.into());
    if h & 3 != 0 {
        part(given);
    }
}
